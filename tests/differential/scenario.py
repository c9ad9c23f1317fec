"""What the scenarios share. A scenario is told to both workers: README.md says how they are compared. Each also says
what must happen, so that two equal mistakes are not taken for the truth."""

KINDS = ("heap", "vbox", "vkit", "dbox", "dkit", "vmap", "dweakset")


def base_of(ref):
    return ref.partition(":")[0]


def make(vat, kind, cell):
    """Something of KIND in CELL; "import" too. Returns the reference of an import."""
    if kind == "import":
        ref = vat.new_import()
        vat.step("hold", cell, ref)
        return ref
    vat.steps(["makeKit", kind, cell, None] if kind.endswith("kit") else ["make", kind, cell])
    return None
