"""Workflows of several steps in one call, such as convert, train and evaluate; interrupted ones can continue."""
