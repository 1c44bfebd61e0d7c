-- Usage as a bill needs it: from attempts (view `endings`, a row per attempt, with the stretch of time that it is in) to
-- sums by everything that a price may depend on. Plain SQL like usage.sql, which it agrees with: what a bill does not
-- need is not read.
SELECT
    customer, project, model, vendor, zone, service_tier, bracket, price_version, currency, stretch, hour_of_day,
    MIN(admitted_at) AS first_at, MAX(admitted_at) AS last_at, COUNT(*) AS attempts,
    SUM(input) AS input, SUM(cached) AS cached, SUM(cache_write) AS cache_write, SUM(output) AS output,
    SUM(reasoning) AS reasoning, SUM(audio_input) AS audio_input, SUM(audio_output) AS audio_output,
    SUM(image_input) AS image_input,
    SUM(CASE WHEN input + cached + cache_write + output + reasoning + audio_input + audio_output + image_input > 0
        THEN 1 ELSE 0 END) AS calls,
    CAST(SUM(charge) AS DECIMAL(38, 0)) AS charge, CAST(SUM(overrun) AS DECIMAL(38, 0)) AS overrun,
    SUM(CASE WHEN unrated = '' THEN 0 ELSE 1 END) AS unrated
FROM endings
GROUP BY
    customer, project, model, vendor, zone, service_tier, bracket, price_version, currency, stretch, hour_of_day
