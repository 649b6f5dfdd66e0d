"""What a flood of one tenant does to another, with tenants taking turns and without."""
