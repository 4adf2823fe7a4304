"""More blocks in layers of a trained network, which computes the same until it is trained further.

    python tools/weights/deepen_network.py OLD.pt detector/networks/models/char.yaml NEW.pt

The structure has the layers of OLD.pt, some with more repeats. What a new block of a C3k2 gives meets weights of zero;
a new block of a C2PSA adds zero to what it is given, by the weight of its last normalisations.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from detector.networks.ultralytics import new_network
from tools.weights.train_detector import save


@torch.no_grad()
def deepened(old: Any, structure: Path) -> Any:
    """Return a network of ``structure`` with the output of the network ``old``.

    Raises:
        SystemExit: if ``structure`` has no place for a weight of ``old``.
    """
    net = new_network("".join(old.names[i] for i in sorted(old.names)), structure, None)
    weights, old_weights = net.state_dict(), old.state_dict()
    for name, value in old_weights.items():
        new_value = weights.get(name)
        if new_value is None or new_value.shape[:1] != value.shape[:1] or new_value.shape[1:2] < value.shape[1:2]:
            raise SystemExit(f"{name} of the old network has no place in {structure}: only repeats may differ.")
        new_value.zero_()
        new_value[tuple(slice(side) for side in value.shape)] = value
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
    net = deepened(old, args.structure).eval()
    picture = torch.rand(1, 3, 64, 256)
    with torch.no_grad():
        change = float((net(picture)[0] - old(picture)[0]).abs().max())
    sizes = [sum(weight.numel() for weight in network.parameters()) for network in (old, net)]
    save(net, args.new, 0)
    print(f"{args.new}: {sizes[0]:,} to {sizes[1]:,} parameters, output changed by at most {change:.2g}")


if __name__ == "__main__":
    main()
