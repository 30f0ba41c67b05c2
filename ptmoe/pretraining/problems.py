"""More sentence forms of word problems than the mini task has, products among them."""

MORE: dict[str, tuple[str, ...]] = {
    "+": (
        "{n} owns {a} {it}. {n} wins {b} {it}. How many {it} is that?",
        "{n} counts {a} {it} here and {b} {it} there. How many {it} are there?",
        "A shelf holds {a} {it}. {m} adds {b}. How many {it} are on the shelf?",
        "{n} is {a} metres tall and grows by {b} metres. How tall is {n} now?",
    ),
    "-": (
        "{n} owns {a} {it}. {b} of them break. How many {it} are whole?",
        "A shelf holds {a} {it}. {m} takes away {b}. How many {it} are on the shelf?",
        "From {a} {it} {n} used {b}. How many {it} remain?",
        "{n} walks {a} miles and {m} walks {b} miles less. How many miles does {m} walk?",
    ),
    "*": (
        "{n} has {a} baskets. In every basket there are {b} {it}. How many {it} is that?",
        "{n} buys {b} {it} on each of {a} days. How many {it} does {n} buy?",
        "{a} children have {b} {it} each. How many {it} do they have together?",
        "There are {a} rows of {b} {it}. How many {it} are there?",
    ),
    "+-": (
        "{n} owns {a} {it}, wins {b} and breaks {c}. How many {it} are whole?",
        "A train carries {a} {it}. {n} loads {b} and unloads {c}. How many {it} does it carry?",
    ),
    "-+": (
        "{n} owns {a} {it}, breaks {b} and wins {c}. How many {it} is that?",
        "A train carries {a} {it}. {n} unloads {b} and loads {c}. How many {it} does it carry?",
    ),
    "++": ("{n} counts {a} {it} here, {b} there and {c} more outside. How many {it} are there?",),
    "--": ("A shelf holds {a} {it}. {n} takes away {b} and {m} takes away {c}. How many {it} remain?",),
    "*+": (
        "{n} has {a} baskets with {b} {it} in every basket and wins {c} more. How many {it} is that?",
        "There are {a} rows of {b} {it} and {c} more outside. How many {it} are there?",
    ),
    "*-": (
        "{n} has {a} baskets with {b} {it} in every basket and loses {c}. How many {it} remain?",
        "There are {a} rows of {b} {it}. {n} takes away {c}. How many {it} remain?",
    ),
}
