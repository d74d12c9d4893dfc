"""From the query log to what a reviewer should see, and to what the next training should get more of."""
