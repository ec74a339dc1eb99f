"""Winograd's minimal filtering on tiles: fewer products than the definition, for a little more rounding."""
