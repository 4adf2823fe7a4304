"""Insert a layer into a trained network, so that training can go on with another structure.

    python tools/weights/insert_layer.py OLD.pt detector/networks/models/char.yaml STORE NEW.pt --at 8

The layer must be a C2PSA, and keep the shape of what it is given. Its two 1x1 convolutions are set to pass on what they
get, normalised as it is on pictures of the store, and what its block adds is a tenth. Their activations (SiLU) still
change it by about half, as it says; further training makes up for that.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import torch

from detector.networks.device import to_device
from detector.networks.ultralytics import new_network
from detector.text.alphabet import Alphabet
from tools.weights.synth_store import Store
from tools.weights.train_detector import save

PICTURES = 384


def inserted(old: Any, structure: Path, at: int) -> Any:
    """The network of ``structure`` with the weights of ``old``, and layer ``at`` new."""
    net = new_network(Alphabet().symbols, structure, None)
    weights = net.state_dict()
    for name, value in old.state_dict().items():
        number = int(re.match(r"model\.(\d+)\.", name)[1])  # type: ignore[index]
        moved = re.sub(r"^model\.\d+\.", f"model.{number + (number >= at)}.", name)
        if moved not in weights or weights[moved].shape != value.shape:
            raise SystemExit(f"{name} has no place in {structure}: it must have one layer more than OLD, at {at}.")
        weights[moved] = value
    net.load_state_dict(weights)
    return net


@torch.no_grad()
def pass_on(conv: Any, given: torch.Tensor) -> None:
    """Make a 1x1 convolution and its normalisation leave what they are ``given`` as it is, up to the activation."""
    sides = conv.conv.weight.shape[0]
    conv.conv.weight.copy_(torch.eye(sides)[:, :, None, None] + 0.01 * torch.randn_like(conv.conv.weight))
    out, norm = conv.conv(given), conv.bn
    norm.running_mean.copy_(out.mean((0, 2, 3)))
    norm.running_var.copy_(out.var((0, 2, 3)))
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())
    norm.bias.copy_(norm.running_mean)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("structure", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--at", type=int, default=8, help="number of the new layer")
    args = parser.parse_args()
    torch.manual_seed(0)
    old = torch.load(args.old, map_location="cpu", weights_only=False)["model"].float()
    net = inserted(old, args.structure, args.at).eval()
    layer = net.model[args.at]
    for block in layer.m:
        for last in (block.attn.proj, block.ffn[-1]):
            torch.nn.init.constant_(last.bn.weight, 0.1)
    images = Store.open(args.store)
    given = to_device(images.images[images.scored][:PICTURES], torch.device("cpu"), flip=True)
    with torch.no_grad():
        for before in net.model[: args.at]:
            given = before(given)
        pass_on(layer.cv1, given)
        kept_half, changed = layer.cv1(given).chunk(2, 1)
        pass_on(layer.cv2, torch.cat([kept_half, layer.m(changed)], 1))
        change = (layer(given) - given).norm() / given.norm()
    save(net, args.new, 0)
    print(f"{args.new}: layer {args.at} changes what it is given by {change:.0%}")


if __name__ == "__main__":
    main()
