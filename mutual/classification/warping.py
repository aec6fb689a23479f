"""Images turned, scaled, sheared and shifted, each in its own way, in one go.

A matrix says where pixels come from: the pixel whose middle is at (x, y) shows what is at ``matrix @ (x, y, 1)``. x
grows to the right, y downwards, from the top left corner of the image, so that the first pixel's middle is at 1/2.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mutual.machine.device import uploaded


def centred(angle: np.ndarray | float, scale: np.ndarray | float, height: int, width: int) -> np.ndarray:
    """(..., 2, 3): turned by the angle (radians, counter-clockwise) and enlarged about the middle of the image."""
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    x, y = width / 2, height / 2
    rows = [[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def moved(images: Tensor, matrices: np.ndarray, fill: Sequence[int]) -> Tensor:
    """(B, C, H, W) by (B, 2, 3) float64 matrices, nearest pixels -> the same; what is outside is ``fill`` (C,)."""
    count, _, height, width = images.shape
    y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    # on the CPU, in double precision: another device would round halves another way
    across, down = np.einsum("bij,jhw->ibhw", matrices, np.stack([x, y, np.ones_like(x)]))
    column, row = np.floor(across), np.floor(down)
    outside = (column < 0) | (column >= width) | (row < 0) | (row >= height)
    place = np.where(outside, height * width, row * width + column).astype(np.int64)
    beyond = uploaded(np.array(fill), images.device).to(images.dtype)[None, :, None].expand(count, -1, 1)
    pixels = torch.cat([images.flatten(2), beyond], dim=2)
    where = uploaded(place.reshape(count, 1, -1), images.device).expand(-1, images.shape[1], -1)
    return pixels.gather(2, where).view(images.shape)


def interpolated(images: Tensor, matrices: np.ndarray) -> Tensor:
    """(B, C, H, W) float by (B, 2, 3) matrices, bilinear -> the same; outside is as the nearest edge."""
    _, _, height, width = images.shape
    # to coordinates that are -1 at the left and top edges and 1 at the others
    into = np.array([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]])
    whole = np.concatenate([matrices, np.broadcast_to([[[0.0, 0.0, 1.0]]], (len(matrices), 1, 3))], axis=1)
    theta = (into @ whole @ np.linalg.inv(into))[:, :2]
    grid = F.affine_grid(
        uploaded(theta.astype(np.float32), images.device).to(images.dtype), list(images.shape), align_corners=False
    )
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
