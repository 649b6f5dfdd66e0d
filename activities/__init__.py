"""What a run may ask for: settle, deliver, maintenance. Activities raise only for faults of our own."""
