-- Each trial with everything that must follow from its distribution.
SELECT * FROM trials ORDER BY trial
