"""Reading files of strangers in processes of their own: limited, replaced often, and lost without harm."""
