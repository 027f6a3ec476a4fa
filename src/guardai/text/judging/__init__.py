"""What was seen is judged: anchors, shapes, numbers, the words around them."""
