"""What is told to others of what was built: provenance, bills of materials, signatures, reasons."""
