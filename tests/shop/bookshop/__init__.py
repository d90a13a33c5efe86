"""A bookshop: accounts, a catalogue, orders with receipts by mail, files of the users, and a chat."""
