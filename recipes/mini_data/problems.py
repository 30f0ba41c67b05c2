"""The sentence forms of the word problems, by the operations that solve them.

`{n}` and `{m}` are names, `{it}` the things counted, `{a}`, `{b}` and `{c}` the numbers in the order of the
solution.
"""

ONE_STEP: dict[str, tuple[str, ...]] = {
    "+": (
        "{n} has {a} {it}. {n} buys {b} more. How many {it} does {n} have now?",
        "{n} has {a} {it}. {m} gives {n} {b} more. How many {it} does {n} have now?",
        "{n} finds {a} {it} and {m} finds {b} {it}. How many {it} do they find together?",
        "There are {a} {it} in a box. {n} puts {b} more in. How many {it} are in the box now?",
        "{n} gets {a} {it} in the morning and {b} in the evening. How many {it} does {n} get in all?",
        "{n} has {a} big {it} and {b} small {it}. How many {it} does {n} have in all?",
    ),
    "-": (
        "{n} has {a} {it}. {n} gives {b} to {m}. How many {it} does {n} have left?",
        "{n} has {a} {it} and loses {b} of them. How many {it} does {n} still have?",
        "There are {a} {it} in a box. {n} takes {b} out. How many {it} are left in the box?",
        "{n} had {a} {it} and sold {b}. How many {it} are left?",
        "{n} has {a} {it}. {m} has {b} fewer. How many {it} does {m} have?",
        "{n} wants {a} {it} and has {b} {it}. How many more {it} does {n} need?",
    ),
}
TWO_STEP: dict[str, tuple[str, ...]] = {
    "+-": (
        "{n} has {a} {it}. {n} buys {b} more and then gives {c} to {m}. How many {it} does {n} have now?",
        "There are {a} {it} in a box. {n} puts {b} more in. Then {m} takes {c} out. How many {it} are left in the box?",
    ),
    "-+": (
        "{n} has {a} {it}. {n} gives {b} to {m} and then buys {c} more. How many {it} does {n} have now?",
        "{n} has {a} {it} and loses {b} of them. Then {m} gives {n} {c} more. How many {it} does {n} have now?",
    ),
    "++": (
        "{n} has {a} {it}. {n} buys {b} more and then finds {c} more. How many {it} does {n} have now?",
        "There are {a} {it} in a box. {n} puts {b} more in. Then {m} puts {c} more in."
        " How many {it} are in the box now?",
    ),
    "--": (
        "{n} has {a} {it}. {n} gives {b} to {m} and then loses {c}. How many {it} does {n} have left?",
        "{n} had {a} {it} and sold {b}. Then {n} lost {c} more. How many {it} are left?",
    ),
}
REPHRASED: dict[str, tuple[str, ...]] = {
    "+": (
        "A bus has {a} people on it. At the next stop {b} people get on. How many people are on the bus?",
        "On Monday {n} read {a} pages and on Tuesday {b} pages. What is the number of pages that {n} read?",
        "{n} is {a} years old. How old will {n} be in {b} years?",
    ),
    "-": (
        "{n} is {a} years old. How old was {n} {b} years ago?",
        "Of the {a} birds on a roof, {b} flew away. What is the number of birds still on the roof?",
        "A rope is {a} metres long. {n} cuts off {b} metres. How long is the rope now?",
    ),
    "+-": (
        "A bus has {a} people on it. Then {b} people get on and {c} get off. How many people are on the bus?",
        "A shop had {a} {it}. It ordered {b} and sold {c}. What is the number of {it} in the shop?",
    ),
    "-+": (
        "A tank holds {a} litres. {n} uses {b} litres and fills in {c} litres. How many litres are in the tank?",
        "In a class of {a} children {b} went home and {c} came back. What is the number of children in the class?",
    ),
}
MULTIPLICATION: dict[str, tuple[str, ...]] = {
    "*+": (
        "{n} has {a} bags with {b} {it} in each bag. {n} buys {c} more {it}. How many {it} does {n} have now?",
        "There are {a} boxes with {b} {it} each. {m} puts {c} more {it} in. How many {it} are there in all?",
    ),
    "*-": (
        "{n} has {a} bags with {b} {it} in each bag. {n} gives {c} {it} to {m}. How many {it} does {n} have left?",
        "There are {a} boxes with {b} {it} each. {m} takes {c} {it} out. How many {it} are left?",
    ),
}
