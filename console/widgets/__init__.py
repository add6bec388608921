"""What the screens are made of. A widget is given lines or rows and draws them."""
