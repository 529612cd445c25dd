"""demo-sentiment: MiniLM with low-rank updates and a head that tell approval from disapproval in English reviews."""
