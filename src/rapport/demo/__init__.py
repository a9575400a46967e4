"""The demo company: a story that makes mailboxes, and what must come out, known without the pipeline.

Nothing here may import `rapport_processors`: the truth comes from what the story decided, never from the rules under test.
"""
