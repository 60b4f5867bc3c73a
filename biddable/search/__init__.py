"""Search: generic over what rewrites (a refiner) and what judges (a judge)."""
