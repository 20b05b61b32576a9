"""How fast the product is beside its peers and beside what the machine can do: `make bench`.

`world` makes the data, `jobs` says which tiles are made of them, `floor` is the least work that makes such a tile,
`ours`, `floor` and `peers` run as processes of their own (`child`), measured from outside (`measure`).
"""
