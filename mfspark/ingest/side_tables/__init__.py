"""What files say of users and items besides their ratings."""
