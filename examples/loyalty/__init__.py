"""A small loyalty service: members earn, redeem and transfer points."""
