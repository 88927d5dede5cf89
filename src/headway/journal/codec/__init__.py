"""Values as bytes and back, by type and without pickle. Errors too."""
