"""Development environments: what one is made of, making it, entering it, telling other programs of it."""
