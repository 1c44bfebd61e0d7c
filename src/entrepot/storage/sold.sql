-- What was sold to whom, from attempts (view `endings`, a row per attempt, with the stretch of time that it is in) to sums
-- by everything that a measure of the business may cut by. Plain SQL like usage.sql, which it agrees with.
SELECT
    customer, project, deployment, model, vendor, zone, currency, cost_currency, stretch,
    SUM(CASE WHEN input + cached + cache_write + output + reasoning + audio_input + audio_output + image_input > 0
        THEN 1 ELSE 0 END) AS calls,
    SUM(input + cached + cache_write + output + reasoning + audio_input + audio_output + image_input) AS quantity,
    CAST(SUM(charge) AS DECIMAL(38, 0)) AS charge,
    CAST(SUM(CASE WHEN cost > 0 THEN cost ELSE 0 END) AS DECIMAL(38, 0)) AS cost,
    SUM(CASE WHEN cost < 0 THEN 1 ELSE 0 END) AS uncosted
FROM endings
GROUP BY customer, project, deployment, model, vendor, zone, currency, cost_currency, stretch
