"""The fault suite: a seeded schedule of faults under a load with known content, and a verdict on what became of it."""
