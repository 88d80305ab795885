"""Campaign: a publisher and an advertiser measure what an advertisement sold, joined by messy addresses."""
