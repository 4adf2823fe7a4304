"""More and wider blocks in layers of a trained network, which computes the same until it is trained further.

    python tools/weights/grow_network.py OLD.pt detector/networks/models/char.yaml NEW.pt

The structure has the layers of OLD.pt, some with more repeats or, in a C3k2, with more hidden channels (its last
number). What is new is random and meets weights of zero where the trained part takes it in (Net2Net, Chen et al. 2016,
arXiv:1511.05641, adds copies in place of that); a new block of a C2PSA adds zero to what it is given, by the weight of
its last normalisations.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from detector.networks.ultralytics import new_network
from tools.weights.train_detector import save


def hidden_widths(net: Any) -> dict[str, int]:
    """Return the hidden channels of each layer that splits its first convolution's output in two (C3k2, C2PSA)."""
    return {f"model.{i}": layer.c for i, layer in enumerate(net.model) if hasattr(layer, "c")}


def channels(count: int, part: int, new_part: int) -> torch.Tensor:
    """Return where ``count`` channels in parts of ``part`` lie once the parts have ``new_part`` channels."""
    index = torch.arange(count)
    return index // part * new_part + index % part


@torch.no_grad()
def grown(old: Any, structure: Path) -> Any:
    """Return a network of ``structure`` with the output of the network ``old``.

    Raises:
        SystemExit: if ``structure`` has no place for a weight of ``old``.
    """
    net = new_network("".join(old.names[i] for i in sorted(old.names)), structure, None)
    weights, old_weights = net.state_dict(), old.state_dict()
    widths, new_widths = hidden_widths(old), hidden_widths(net)
    for name, value in old_weights.items():
        new_value = weights.get(name)
        if new_value is None or any(has < needed for has, needed in zip(new_value.shape, value.shape, strict=True)):
            raise SystemExit(f"{name} of the old network has no place in {structure}: only repeats and widths grow.")
        layer, _, convolution = name.rpartition(".")[0].rpartition(".")[0].rpartition(".")
        places = [torch.arange(side) for side in value.shape[:2]]
        if layer in widths:  # cv1 gives two parts, cv2 takes these and one of each block
            side = {"cv1": 0, "cv2": 1}[convolution]
            if side < len(places):
                places[side] = channels(value.shape[side], widths[layer], new_widths[layer])
        if value.ndim == 1:
            new_value[places[0]] = value
        elif value.ndim:
            new_value[places[0]] = 0
            new_value[places[0][:, None], places[1]] = value
        else:
            new_value.copy_(value)
    for name in weights.keys() - old_weights.keys():
        if name.endswith(("attn.proj.bn.weight", "ffn.1.bn.weight")):
            weights[name].zero_()
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("structure", type=Path)
    parser.add_argument("new", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    old = torch.load(args.old, map_location="cpu", weights_only=False)["model"].float().eval()
    net = grown(old, args.structure).eval()
    picture = torch.rand(1, 3, 64, 256)
    with torch.no_grad():
        change = float((net(picture)[0] - old(picture)[0]).abs().max())
    sizes = [sum(weight.numel() for weight in network.parameters()) for network in (old, net)]
    save(net, args.new, 0)
    print(f"{args.new}: {sizes[0]:,} to {sizes[1]:,} parameters, output changed by at most {change:.2g}")


if __name__ == "__main__":
    main()
