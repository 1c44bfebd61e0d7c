-- The one aggregation of usage: from attempts (view `endings`, a row per attempt) to the rollup. Plain SQL on purpose:
-- DuckDB and Apache Spark give the same sums to the last digit.
SELECT
    customer, project, key, deployment, model, vendor_model, upstream, vendor, zone, service_tier, bracket, price_version,
    currency, cost_currency, admitted_at - admitted_at % 3600000000 AS hour, state, source, operation,
    SUM(CASE WHEN attempt = 1 THEN 1 ELSE 0 END) AS requests,
    COUNT(*) AS attempts,
    SUM(input) AS input, SUM(cached) AS cached, SUM(cache_write) AS cache_write, SUM(output) AS output,
    SUM(reasoning) AS reasoning, SUM(audio_input) AS audio_input, SUM(audio_output) AS audio_output,
    SUM(image_input) AS image_input,
    SUM(billed_input) AS billed_input, SUM(billed_cached) AS billed_cached,
    SUM(billed_cache_write) AS billed_cache_write, SUM(billed_output) AS billed_output,
    SUM(billed_reasoning) AS billed_reasoning, SUM(billed_audio_input) AS billed_audio_input,
    SUM(billed_audio_output) AS billed_audio_output, SUM(billed_image_input) AS billed_image_input,
    CAST(SUM(charge) AS DECIMAL(38, 0)) AS charge,
    CAST(SUM(CASE WHEN cost > 0 THEN cost ELSE 0 END) AS DECIMAL(38, 0)) AS cost,
    SUM(CASE WHEN cost < 0 THEN 1 ELSE 0 END) AS uncosted,
    SUM(CASE WHEN unrated = '' THEN 0 ELSE 1 END) AS unrated,
    SUM(CASE WHEN input + cached + cache_write + output + reasoning + audio_input + audio_output + image_input > 0
        THEN 1 ELSE 0 END) AS calls,
    CAST(SUM(overrun) AS DECIMAL(38, 0)) AS overrun
FROM endings
GROUP BY
    customer, project, key, deployment, model, vendor_model, upstream, vendor, zone, service_tier, bracket, price_version,
    currency, cost_currency, admitted_at - admitted_at % 3600000000, state, source, operation
