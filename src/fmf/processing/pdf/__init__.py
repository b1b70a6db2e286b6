"""What is inside a PDF: its pages, their texts in reading order, their pictures, and whether the file is whole."""
