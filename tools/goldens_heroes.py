"""Writes what the data set `heroes` must look like: packages/iqvae/test/goldens/heroes.json.

Needs numpy, pillow and scipy, and the folder that the Debian package flare-game 1.14-1 was unpacked into; run as
`python3 tools/goldens_heroes.py FOLDER`. Pillow composes the layers, scipy finds pieces of limbs and clusters of poses; the
file holds the names of the poses that are held out, and SHA-256 of all images, part maps and key points.
"""
import hashlib
import itertools
import json
import pathlib
import sys

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

GAME = pathlib.Path(sys.argv[1]) / "usr/share/games/flare/mods/fantasycore"
TARGET = pathlib.Path(__file__).parents[1] / "packages" / "iqvae" / "test" / "goldens" / "heroes.json"
GROUND = (168, 166, 152, 255)

PARTS = ["feet", "legs", "hands", "chest", "head"]
MAGE = ["", "_alt1", "_alt2"]
CLOTHES = {
    "feet": "default_feet cloth_sandals leather_boots chain_boots plate_boots".split() + [f"mage_boots{x}" for x in MAGE],
    "legs": "default_legs cloth_pants leather_pants chain_greaves plate_greaves".split() + [f"mage_skirt{x}" for x in MAGE],
    "hands": "default_hands cloth_gloves leather_gloves chain_gloves plate_gauntlets".split()
    + [f"mage_sleeves{x}" for x in MAGE],
    "chest": "default_chest cloth_shirt leather_chest chain_cuirass plate_cuirass".split() + [f"mage_vest{x}" for x in MAGE],
}
HATS = "leather_hood chain_coif plate_helm".split() + [f"mage_hood{x}" for x in MAGE]
OUTFITS = {
    "male": {**CLOTHES, "head": ["head_short", "head_bald", *HATS]},
    "female": {**CLOTHES, "head": ["head_long", *HATS]},
}


def read_layer(body, name):
    picture, animation, frames = None, None, {}
    for line in (GAME / f"animations/avatar/{body}/{name}.txt").read_text().splitlines():
        if line.startswith("image="):
            picture = Image.open(GAME / line[6:]).convert("RGBA")
        elif line.startswith("["):
            animation = line[1:-1]
        elif line.startswith("frame="):
            frame, direction, *rest = map(int, line[6:].split(","))
            frames[f"{animation}/{frame}/{direction}"] = rest
    return picture, frames


def stamp(layer, pose):
    picture, frames = layer
    x, y, width, height, origin_x, origin_y = frames[pose]
    canvas = Image.new("RGBA", (64, 64))
    canvas.paste(picture.crop((x, y, x + width, y + height)), (32 - origin_x, 54 - origin_y))
    return canvas


def middle(chosen):
    y, x = np.nonzero(chosen)
    return (x.mean(), y.mean()) if len(x) >= 4 else None


def tips(chosen, origin):
    labels, count = ndimage.label(chosen, np.ones((3, 3)))
    pieces = [np.nonzero(labels == i) for i in range(1, count + 1)]
    found = []
    for y, x in sorted((p for p in pieces if len(p[0]) >= 4), key=lambda p: -len(p[0]))[:2]:
        far = np.hypot(x - origin[0], y - origin[1]).argmax()
        found.append((x[far], y[far]))
    if len(found) == 1:
        return [found[0], None] if found[0][0] < origin[0] else [None, found[0]]
    return sorted(found, key=lambda p: p[0]) if found else [None, None]


def key_points(parts):
    head, chest, hips = (middle(parts == PARTS.index(name) + 1) for name in ("head", "chest", "legs"))
    anywhere = middle(parts > 0)
    points = [head, chest, hips]
    points += tips(parts == PARTS.index("hands") + 1, chest or anywhere)
    points += tips(parts == PARTS.index("feet") + 1, hips or anywhere)
    return [[0, 0, 0] if p is None else [int((v + 0.5) / 64 * 255 + 0.5) for v in p] + [1] for p in points]


def held_out(poses, silhouettes):
    links = np.zeros((len(poses), len(poses)), bool)
    for (i, a), (j, b) in itertools.combinations(enumerate(poses), 2):
        if a.split("/")[2] == b.split("/")[2]:
            links[i, j] = any((x & y).sum() >= 0.7 * (x | y).sum() for x, y in zip(silhouettes[a], silhouettes[b]))
    _, clusters = connected_components(links, directed=False)
    first = {c: min(p for p, own in zip(poses, clusters) if own == c) for c in set(clusters)}
    digest = {c: hashlib.sha1(name.encode()).digest() for c, name in first.items()}
    return sorted(p for p, c in zip(poses, clusters) if int.from_bytes(digest[c][:4], "big") % 6 == 0)


layers = {(body, name): read_layer(body, name) for body in OUTFITS for names in OUTFITS[body].values() for name in names}
order = {}
for line in (GAME / "engine/hero_layers.txt").read_text().splitlines():
    if line.startswith("layer="):
        direction, *names = line[6:].split(",")
        order[direction] = [name for name in names if name in PARTS]

poses = sorted(layers["male", "default_chest"][1])
hashes = {name: hashlib.sha256() for name in ("images", "maps", "points")}
silhouettes = {pose: [] for pose in poses}
for number, pose in enumerate(poses):
    for body, choices in OUTFITS.items():
        image, parts = Image.new("RGBA", (64, 64), GROUND), np.zeros((64, 64), np.uint8)
        for part in order[pose.split("/")[2]]:
            index = PARTS.index(part)
            # Every garment comes up: the test dresses them by the same rule.
            image.alpha_composite(stamp(layers[body, choices[part][(number + 3 * index) % len(choices[part])]], pose))
            parts[np.asarray(stamp(layers[body, choices[part][0]], pose))[..., 3] >= 160] = index + 1
        silhouettes[pose].append(parts > 0)
        hashes["images"].update(image.convert("RGB").tobytes())
        hashes["maps"].update(parts.tobytes())
        hashes["points"].update(bytes(itertools.chain(*key_points(parts))))
golden = {"heldOut": held_out(poses, silhouettes), **{name: value.hexdigest() for name, value in hashes.items()}}
TARGET.write_text(json.dumps({"version": "1.14-1", "poses": len(poses), **golden}, indent=2) + "\n")
print(f"{TARGET.name}: {len(poses)} poses, {len(golden['heldOut'])} held out")
