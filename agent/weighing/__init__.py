"""What speaks for and against candidate masks, and what is believed of them."""
