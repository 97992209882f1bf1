"""`ssseg doctor`: reads a data set once and says what is there and what will go wrong."""
