-- Asks an admin listener to revoke subjects, each another one from number FIRST on, as fast as it
-- answers.

local threads = {}

issued = 0 -- global, because done() runs in another Lua state and asks for it by name

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  local first, issuer, token = tonumber(args[1]), args[2], args[3]
  local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. token }
  request = function()
    local number = first + issued
    issued = issued + 1
    local body = string.format('{"scope":"subject","subject":"nobody-%d","issuer":"%s"}', number, issuer)
    return wrk.format("POST", nil, headers, body)
  end
end

-- One line for the harness to read; wrk's own summary rounds its numbers.
function done(summary, latency, requests)
  local total = 0
  for _, thread in ipairs(threads) do total = total + thread:get("issued") end
  local e = summary.errors
  io.write(string.format(
    'SUMMARY {"requests":%d,"duration_us":%d,"issued":%d,"p50_us":%d,"p99_us":%d,' ..
    '"refused":%d,"failed":%d}\n',
    summary.requests, summary.duration, total, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
