"""What a network gives its packets: links, addresses, routes, and who may send what to whom."""
