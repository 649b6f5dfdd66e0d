"""What every long-lived process of ours does to its interpreter once it is up."""

import gc


def calm_gc() -> None:
    """Leave what start-up made alone and look for cycles less often. Call it when all is imported and connected."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
