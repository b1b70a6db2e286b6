"""Text out of pictures: engines by name, and how one picture is read with them."""
