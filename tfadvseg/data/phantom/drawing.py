"""Draws one axial slice of a synthetic patient, in Hounsfield units (HU) and in classes.

Later shapes cover earlier ones, in the image and in the mask alike. Coordinates and levels are
those of `phantom_anatomy`.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from tfadvseg.data.phantom.anatomy import Anatomy, Floats, Point

LABELS = {"background": 0, "aorta": 1, "pulmonary artery": 2}

_AORTA, _PULMONARY = LABELS["aorta"], LABELS["pulmonary artery"]
_OVERSAMPLING = 4
_SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates
_AIR, _LUNG, _FAT, _MEDIASTINUM, _MUSCLE, _LIVER = -1000, -840, -95, -50, 55, 95
_CORTEX, _SPONGIOSA = 620, 230
_ARCH_TOP, _ARCH_BOTTOM, _ROOT_END, _VALVE = 0.01, 0.14, 0.73, 0.62
_CHAMBERS = (  # (blood, first z, last z, x, y, half axes, turn in degrees), far ones first
    ("left", 0.52, 0.93, 0.015, 0.042, (0.088, 0.042), 4),  # left atrium
    ("right", 0.56, 1.1, -0.105, -0.045, (0.05, 0.066), 12),  # right atrium
    ("right", _VALVE - 0.04, 1.1, 0.05, -0.148, (0.078, 0.048), -14),  # right ventricle
    ("left", _ROOT_END - 0.04, 0.86, 0.03, -0.058, (0.06, 0.036), -25),  # outflow of the left one
    ("left", 0.66, 1.1, 0.13, -0.052, (0.078, 0.046), -32),  # left ventricle
)


class _Canvas:
    """One slice, in HU and in classes, drawn in the coordinates of the body."""

    def __init__(self, size: int, anatomy: Anatomy) -> None:
        self.side = size * _OVERSAMPLING
        self.hu = np.full((self.side, self.side), _AIR, np.float32)
        self.labels = np.zeros((self.side, self.side), np.uint8)
        self._anatomy = anatomy

    def pixels(self, points: Floats) -> Floats:
        return self._anatomy.place(points) * self.side - 0.5

    def polygon(self, points: Floats, hu: float, label: int = 0) -> None:
        fixed = np.rint(self.pixels(points) * 2**_SHIFT).astype(np.int32)
        cv2.fillPoly(self.hu, [fixed], float(hu), shift=_SHIFT)
        cv2.fillPoly(self.labels, [fixed], label, shift=_SHIFT)

    def ellipse(
        self,
        center: Point,
        axes: Point,
        hu: float,
        label: int = 0,
        *,
        degrees: float = 0.0,
        squareness: float = 2.0,
    ) -> None:
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        rim = np.stack([np.cos(angle), np.sin(angle)], -1)
        rim = np.sign(rim) * np.abs(rim) ** (2 / squareness) * axes
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        self.polygon(rim @ np.array([[cos, sin], [-sin, cos]]) + center, hu, label)

    def tube(
        self, ends: tuple[Point, Point, Point], radii: Point, hu: float, label: int = 0
    ) -> None:
        """Draws a vessel that runs within the slice: start, bend and end of a Bezier curve."""
        t = np.linspace(0, 1, 16)[:, None]
        start, bend, end = np.array(ends)
        curve = self.pixels((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end)
        fixed = np.rint(curve * 2**_SHIFT).astype(np.int32)
        widths = 2 * self._anatomy.scale * self.side * np.linspace(*radii, len(fixed) - 1)
        for a, b, width in zip(fixed[:-1], fixed[1:], widths, strict=True):
            for plane, value in ((self.hu, float(hu)), (self.labels, label)):
                cv2.line(plane, a, b, value, max(1, round(width)), shift=_SHIFT)

    def vessel(
        self, center: Point, axes: Point, hu: float, label: int = 0, *, degrees: float = 0.0
    ) -> None:
        """Draws a vessel across the slice in a thin sheath of fat, which parts it from others."""
        self.ellipse(center, (axes[0] + 0.007, axes[1] + 0.007), _MEDIASTINUM, degrees=degrees)
        self.ellipse(center, axes, hu, label, degrees=degrees)


def _draw_chest(canvas: _Canvas, anatomy: Anatomy, z: float) -> None:
    width, height = anatomy.body
    canvas.ellipse((0, height + 0.06), (0.6, 0.045), -650)  # the table
    canvas.ellipse((0, height + 0.067), (0.6, 0.04), _AIR)
    canvas.ellipse((0, 0), (width, height), _MUSCLE, squareness=2.3)
    rim = 0.005  # of skin
    canvas.ellipse((0, 0), (width - rim, height - rim), _FAT, squareness=2.3)
    fat = rim + anatomy.fat
    canvas.ellipse((0, 0), (width - fat, height - fat), _MUSCLE, squareness=2.4)
    # The chest widens from the apex of the lungs downwards.
    widening = 0.86 + 0.14 * min(1.0, (z + 0.1) / 0.5)
    cavity = ((width - fat - 0.05) * widening, height - fat - 0.055)
    middle = (0.0, -0.02)
    canvas.ellipse(middle, (cavity[0] + 0.006, cavity[1] + 0.006), _FAT, squareness=2.3)
    _draw_ribs(canvas, anatomy, z, cavity)
    canvas.ellipse(middle, cavity, _LUNG, squareness=2.3)
    _draw_lung_vessels(canvas, anatomy, z, cavity)


def _draw_ribs(canvas: _Canvas, anatomy: Anatomy, z: float, cavity: Point) -> None:
    """Ribs run obliquely: each slice cuts several, and they wander around the wall with z."""
    axes = np.array(cavity) + 0.02
    for side in (-1, 1):
        for k in range(5):
            angle = np.radians(-52 + 32 * (k + (anatomy.rib_phase + 3 * z) % 1.0))
            spot = axes * (side * np.cos(angle), np.sin(angle)) + (0, -0.02)
            along = np.degrees(np.arctan2(axes[1] * np.cos(angle), -side * axes[0] * np.sin(angle)))
            for inset, hu in ((0.0, _CORTEX), (0.006, _SPONGIOSA)):
                canvas.ellipse(
                    tuple(spot), (0.034 - inset, 0.0115 - inset), hu, degrees=float(along)
                )
    sternum = (0.0, -0.02 - cavity[1] - 0.018)
    canvas.ellipse(sternum, (0.055, 0.016), _CORTEX, squareness=3)
    canvas.ellipse(sternum, (0.049, 0.01), _SPONGIOSA, squareness=3)


def _draw_lung_vessels(canvas: _Canvas, anatomy: Anatomy, z: float, cavity: Point) -> None:
    for angle, depth, level, size, stretch, drift, mix in anatomy.lung_vessels:
        reach = abs(z - (1.2 * level - 0.1)) / 0.2
        if reach > 1:
            continue
        # Vessels fan out from the hilum and get thinner on their way.
        side = 1 if mix > 0.5 else -1
        way = 0.12 + 0.83 * depth
        fan = (2 * angle - 1) * 1.9 + (drift - 0.5) * (z - level)
        hilum = np.array([side * 0.13, 0.02])
        rim = np.array([side * cavity[0] * np.cos(fan * 0.75), cavity[1] * np.sin(fan * 0.75)])
        x, y = hilum + way * (rim - hilum)
        radius = (0.006 + 0.014 * size * (1 - depth)) * np.sqrt(1 - 0.6 * reach)
        turn = np.degrees(np.arctan2(y - hilum[1], x - hilum[0]))
        hu = anatomy.hu["vein" if drift > 0.5 else "pulmonary"]
        canvas.ellipse(
            (x, y), (radius * (1 + 4 * stretch**3), radius), 0.8 * hu, degrees=float(turn)
        )


def _draw_mediastinum(canvas: _Canvas, anatomy: Anatomy, z: float) -> None:
    front = 0.02 + 0.04 * float(np.clip((z - 0.45) / 0.2, 0, 1))
    x = np.array([-front, -0.09, -0.15, -0.135, -0.1, -0.07, 0.07, 0.105, 0.12, 0.135, 0.11, front])
    y = np.array([-0.28, -0.16, -0.06, 0.02, 0.1, 0.24, 0.24, 0.13, 0.03, -0.05, -0.14, -0.28])
    canvas.polygon(np.stack([x, y], -1), _MEDIASTINUM)
    if z > 0.88:  # the dome of the liver under the right lung
        dome = np.sqrt((z - 0.88) / 0.12)
        canvas.ellipse((-0.2, 0.0), (0.13 * dome, 0.15 * dome), _LIVER)
    canvas.ellipse((0, 0.255), (0.13, 0.06), _MUSCLE, squareness=2.5)
    for side in (-1, 1):  # transverse processes
        canvas.ellipse((side * 0.055, 0.225), (0.04, 0.013), _CORTEX, degrees=side * 25.0)
    canvas.ellipse((0, 0.28), (0.012, 0.04), _CORTEX)
    canvas.ellipse((0, 0.225), (0.042, 0.033), _CORTEX)
    canvas.ellipse((0, 0.178), (0.062, 0.046), _CORTEX, squareness=2.4)
    canvas.ellipse((0, 0.178), (0.055, 0.039), _SPONGIOSA, squareness=2.4)
    canvas.ellipse((0, 0.226), (0.028, 0.022), 30)
    canvas.ellipse((0.015, 0.095), (0.02, 0.012), _MUSCLE)  # oesophagus
    x0, y0 = anatomy.at("trachea", z)
    if z < 0.34:
        canvas.ellipse((x0, y0), (0.03, 0.028), _MUSCLE)
        canvas.ellipse((x0, y0), (0.025, 0.023), _AIR)
    elif z < 0.56:  # the main bronchi part and run to the lungs
        spread = 0.03 + 0.35 * (z - 0.34)
        for side in (-1, 1):
            bronchus = (x0 + side * spread, y0 + 0.01)
            canvas.ellipse(bronchus, (0.024, 0.017), _MUSCLE, degrees=side * 15.0)
            canvas.ellipse(bronchus, (0.019, 0.012), _AIR, degrees=side * 15.0)


def _draw_heart(canvas: _Canvas, anatomy: Anatomy, z: float) -> None:
    if z < 0.52:
        return
    hu = anatomy.hu
    size = float(np.sqrt(np.clip((z - 0.5) / 0.25, 0, 1)))
    axes = (0.15 + 0.06 * size, 0.1 + 0.035 * size)
    center = (0.005 + 0.04 * size, -0.075)
    canvas.ellipse(center, (axes[0] + 0.01, axes[1] + 0.01), _FAT, degrees=-22)
    if z > 0.58:
        grown = 0.55 + 0.45 * size
        canvas.ellipse(center, (axes[0] * grown, axes[1] * grown), hu["myocardium"], degrees=-22)
    for blood, first, last, x, y, half, degrees in _CHAMBERS:
        if first < z < last:
            grown = float(np.sqrt(min(1.0, (z - first) / 0.12, (last - z) / 0.06)))
            wall = (half[0] * grown + 0.012, half[1] * grown + 0.012)
            canvas.ellipse((x, y), wall, hu["myocardium"], degrees=degrees)
            canvas.ellipse((x, y), (half[0] * grown, half[1] * grown), hu[blood], degrees=degrees)
    if 0.54 < z < 0.7:  # pulmonary veins into the left atrium
        for side in (-1, 1):
            ends = ((side * 0.06, 0.045), (side * 0.11, 0.04), (side * 0.17, 0.03 + z / 20))
            canvas.tube(ends, (0.018, 0.012), hu["vein"])


def _draw_veins(canvas: _Canvas, anatomy: Anatomy, z: float) -> None:
    hu, radius = anatomy.hu["cava"], anatomy.radii["cava"]
    x, y = anatomy.at("cava", z)
    if z < 0.07:  # the left brachiocephalic vein crosses in front of the arch
        canvas.tube(((x, y), (0.0, -0.16), (0.09, -0.12)), (0.02, 0.016), hu)
    if z < 0.6:
        canvas.vessel((x, y), (radius, 1.2 * radius), hu, degrees=20)
    else:
        canvas.vessel((-0.1, 0.09), (0.008, 0.008), hu)  # azygos


def _through(z: float, first: float, last: float) -> float:
    """How wide a slice at z cuts a tube that lies in its plane: 1 in its middle, 0 outside."""
    offset = (2 * z - first - last) / (last - first)
    return float(np.sqrt(max(0.0, 1 - offset**2)))


def _draw_pulmonary(canvas: _Canvas, anatomy: Anatomy, z: float) -> None:
    hu, radii = anatomy.hu["pulmonary"], anatomy.radii
    level = z - anatomy.pulmonary_shift
    x, y = anatomy.at("trunk", z)
    right, left = _through(level, 0.27, 0.5), _through(level, 0.2, 0.46)
    trunk = 0.28 < level < _VALVE
    behind = anatomy.at("ascending", z)[1] + radii["ascending"] + 0.85 * radii["branch"]
    tubes = []
    if right > 0.4:  # behind the ascending aorta and the superior vena cava
        width = right * radii["branch"]
        ends = ((x, y + 0.02), (-0.05, behind - 0.005), (-0.155, behind + 0.015))
        tubes.append((ends, (1.1 * width, 0.75 * width)))
    if left > 0.4:
        width = left * radii["branch"]
        start = (x, y) if trunk else (x + 0.03, y + 0.03)
        tubes.append(((start, (x + 0.04, y + 0.02), (x + 0.1, y + 0.085)), (width, 0.75 * width)))
    for ends, (near, far) in tubes:
        canvas.tube(ends, (near + 0.007, far + 0.007), _MEDIASTINUM)
    axes = (radii["trunk"], radii["trunk"] * 1.12)
    if trunk:
        canvas.vessel((x, y), axes, hu, _PULMONARY, degrees=25)
    for ends, widths in tubes:
        canvas.tube(ends, widths, hu, _PULMONARY)


def _draw_aorta(canvas: _Canvas, anatomy: Anatomy, z: float) -> None:
    hu, radii = anatomy.hu["aorta"], anatomy.radii
    ascending, descending = anatomy.at("ascending", z), anatomy.at("descending", z)
    if z < _ARCH_TOP + 0.03:  # brachiocephalic, carotid and subclavian arteries: not labelled
        for x, y, radius in ((-0.05, -0.06, 0.02), (0.01, -0.04, 0.014), (0.05, 0.02, 0.016)):
            canvas.vessel((x, y), (radius, radius), hu)
    if z < _ARCH_TOP:
        return
    if z < _ARCH_BOTTOM:
        width = 0.5 + 0.5 * min(1.0, (z - _ARCH_TOP) / 0.05)
        widths = (0.9 * width * radii["ascending"], width * radii["descending"])
        canvas.tube((ascending, (0.085, -0.03), descending), widths, hu, _AORTA)
        return
    if z < _ROOT_END:
        long = 1.0 + 0.1 * np.sin(9 * z)
        axes = (radii["ascending"] * long, radii["ascending"] / long)
        canvas.vessel(ascending, axes, hu, _AORTA, degrees=-35)
    taper = 1.08 - 0.2 * z
    axes = (radii["descending"] * taper, radii["descending"] * taper)
    canvas.vessel(descending, axes, hu, _AORTA)


def draw_slice(anatomy: Anatomy, z: float, size: int) -> tuple[Floats, NDArray[np.uint8]]:
    """Draws one slice without noise.

    Args:
        anatomy: The patient.
        z: The level, from 0 (top of the aortic arch) to 1 (dome of the liver).
        size: Width and height in pixels.

    Returns:
        The image in HU and the mask of class indices, both (size, size).
    """
    canvas = _Canvas(size, anatomy)
    for draw in (_draw_chest, _draw_mediastinum, _draw_heart, _draw_veins):
        draw(canvas, anatomy, z)
    _draw_pulmonary(canvas, anatomy, z)
    _draw_aorta(canvas, anatomy, z)
    shares = np.stack([canvas.labels == label for label in LABELS.values()], -1)
    shares = cv2.resize(shares.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    hu = cv2.resize(canvas.hu, (size, size), interpolation=cv2.INTER_AREA)
    return hu.astype(np.float32, copy=False), shares.argmax(-1).astype(np.uint8)
