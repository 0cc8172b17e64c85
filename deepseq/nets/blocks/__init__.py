"""What two papers share: convolutions, norms, attention, initialisation, and looking inside."""
