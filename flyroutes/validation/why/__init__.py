"""Why an app does not do what it should: the ladder, its rungs, and one small question per cause."""
