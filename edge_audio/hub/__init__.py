"""Models that come from a Hub and go to one (extra `hub`), and those that are kept here."""
