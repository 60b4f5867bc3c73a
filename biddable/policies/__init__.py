"""Networks and learners that act: behaviour cloning, and how policies are tried out."""
