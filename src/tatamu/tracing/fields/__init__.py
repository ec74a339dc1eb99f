"""Which pixels of a network's input each element of a tensor reads: exactly, and as a window."""
