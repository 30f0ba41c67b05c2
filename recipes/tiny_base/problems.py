"""More sentence forms of word problems than the mini task has, products among them."""

MORE: dict[str, tuple[str, ...]] = {
    "+": (
        "{n} owns {a} {it}. {n} wins {b} {it}. How many {it} is that?",
        "{n} counts {a} {it} here and {b} {it} there. How many {it} are there?",
        "A shelf holds {a} {it}. {m} adds {b}. How many {it} are on the shelf?",
        "{n} is {a} metres tall and grows by {b} metres. How tall is {n} now?",
        "At {m} there were {a} {it}. Later {b} {it} came in. How many {it} were at {m} then?",
        "In spring {n} saw {a} {it} and in autumn {b} {it}. What is the sum of the {it}?",
        "A {m} weighs {a} pounds. It gets {b} pounds heavier. How heavy is it then?",
        "{n} was {a} days in {m} and stayed {b} days more. How many days were that?",
    ),
    "-": (
        "{n} owns {a} {it}. {b} of them break. How many {it} are whole?",
        "A shelf holds {a} {it}. {m} takes away {b}. How many {it} are on the shelf?",
        "From {a} {it} {n} used {b}. How many {it} remain?",
        "{n} walks {a} miles and {m} walks {b} miles less. How many miles does {m} walk?",
        "Of {a} {it} in a field {b} went off. What is the rest of the {it}?",
        "A {m} weighs {a} pounds. It gets {b} pounds lighter. How heavy is it then?",
        "A way is {a} miles long. {n} has gone {b} miles. How long is the rest of the way?",
        "{n} had {a} coins in a purse and paid {b} coins. What is in the purse now?",
    ),
    "*": (
        "{n} has {a} baskets. In every basket there are {b} {it}. How many {it} is that?",
        "{n} buys {b} {it} on each of {a} days. How many {it} does {n} buy?",
        "{a} children have {b} {it} each. How many {it} do they have together?",
        "There are {a} rows of {b} {it}. How many {it} are there?",
        "{a} crates hold {b} {it} each. How many {it} do the crates hold?",
        "{n} has {a} cans with {b} {it} in each. How many {it} are that in all?",
    ),
    "+-": (
        "{n} owns {a} {it}, wins {b} and breaks {c}. How many {it} are whole?",
        "A train carries {a} {it}. {n} loads {b} and unloads {c}. How many {it} does it carry?",
        "A purse held {a} coins. {b} coins came in and {c} went out. What is in the purse now?",
        "In {m} there were {a} {it}. Then {b} arrived and {c} left. What is the rest of the {it}?",
    ),
    "-+": (
        "{n} owns {a} {it}, breaks {b} and wins {c}. How many {it} is that?",
        "A train carries {a} {it}. {n} unloads {b} and loads {c}. How many {it} does it carry?",
        "A purse held {a} coins. {b} coins went out and {c} came in. What is in the purse now?",
        "In {m} there were {a} {it}. Then {b} left and {c} arrived. How many {it} are in {m}?",
    ),
    "++": ("{n} counts {a} {it} here, {b} there and {c} more outside. How many {it} are there?",),
    "--": ("A shelf holds {a} {it}. {n} takes away {b} and {m} takes away {c}. How many {it} remain?",),
    "*+": (
        "{n} has {a} baskets with {b} {it} in every basket and wins {c} more. How many {it} is that?",
        "There are {a} rows of {b} {it} and {c} more outside. How many {it} are there?",
        "{a} crates hold {b} {it} each. {n} adds {c} more {it}. How many {it} are there in all?",
        "{n} has {a} cans with {b} {it} in each and gets {c} more {it}. How many {it} does {n} have now?",
    ),
    "*-": (
        "{n} has {a} baskets with {b} {it} in every basket and loses {c}. How many {it} remain?",
        "There are {a} rows of {b} {it}. {n} takes away {c}. How many {it} remain?",
        "{a} crates hold {b} {it} each. {n} sells {c} {it}. How many {it} are left?",
        "{n} has {a} cans with {b} {it} in each and gives {c} to {m}. How many {it} does {n} have left?",
    ),
}
