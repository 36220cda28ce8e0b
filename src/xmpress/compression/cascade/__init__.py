"""The pass ``cascade``: a fast first stage for a bundle, and when it may answer."""

from xmpress.compression.cascade.build import Cascade, CascadeParams

__all__ = ["Cascade", "CascadeParams"]
