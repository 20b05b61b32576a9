"""What a delivery says, whatever it is wrapped in; what is not understood as a whole is refused."""
