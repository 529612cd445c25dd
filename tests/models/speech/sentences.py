"""Sentences written for measuring speech recognition; no model here was trained on them."""

HELD_OUT = [
    "The train to the coast leaves at nine in the morning.",
    "My neighbour has painted the garden fence green.",
    "We should meet in front of the library before the lecture begins.",
    "Please put the fresh bread on the table next to the window.",
    "The committee will decide about the new bridge next week.",
    "Nobody knew why the lights went out during the concert.",
    "She wrote a long letter to her brother in Canada.",
    "The weather was cold, but the children wanted to play outside.",
    "A small boat came home late in the evening.",
    "The doctor told him to drink more water and to sleep longer.",
    "Our teacher explained how the heart moves blood through the body.",
    "The old clock in the hall has stopped again.",
    "He bought a second hand bicycle for his daughter.",
]
