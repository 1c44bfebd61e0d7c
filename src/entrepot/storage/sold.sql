-- What was sold to whom, from attempts (view `endings`, a row per attempt, with the stretch of time that it is in) to sums
-- by everything that a measure of the business may cut by. Plain SQL like usage.sql, which it agrees with. Sums come as
-- BIGINT or text: as HUGEINT or DECIMAL they take longer on their way into Python than to add up.
SELECT
    customer, project, deployment, model, vendor, zone, currency, cost_currency, stretch,
    CAST(SUM(CASE WHEN input + cached + cache_write + output + reasoning + audio_input + audio_output + image_input > 0
        THEN 1 ELSE 0 END) AS BIGINT) AS calls,
    CAST(SUM(input + cached + cache_write + output + reasoning + audio_input + audio_output + image_input) AS BIGINT)
        AS quantity,
    CAST(CAST(SUM(charge) AS DECIMAL(38, 0)) AS STRING) AS charge,
    CAST(CAST(SUM(CASE WHEN cost > 0 THEN cost ELSE 0 END) AS DECIMAL(38, 0)) AS STRING) AS cost,
    CAST(SUM(CASE WHEN cost < 0 THEN 1 ELSE 0 END) AS BIGINT) AS uncosted
FROM endings
GROUP BY customer, project, deployment, model, vendor, zone, currency, cost_currency, stretch
