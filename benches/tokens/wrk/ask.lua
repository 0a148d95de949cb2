-- Asks a token endpoint, again and again.
--
--   refresh FILE             exchanges the refresh tokens of FILE, one a line: each for the next, as
--                            soon as that is there. There must be one for each connection.
--   grant CLIENT:SECRET      asks for access tokens for a client; CLIENT:SECRET is base64.

local FORM = "application/x-www-form-urlencoded"

local ready = {} -- tokens that wait for a connection
local refused = false

local function exchange(token)
  return wrk.format("POST", nil, nil, "grant_type=refresh_token&refresh_token=" .. token)
end

local function refresh(path)
  for token in io.lines(path) do ready[#ready + 1] = token end
  -- wrk looks at one request before it begins, which is not sent.
  local is_sent = false
  request = function()
    local token = ready[#ready]
    if is_sent then ready[#ready] = nil end
    is_sent = true
    -- Only after a refusal there are fewer tokens than connections.
    return exchange(token or "none")
  end
  response = function(status, _, body)
    local token = status == 200 and body:match('"refresh_token":"([%w_-]+)"')
    if token then
      ready[#ready + 1] = token
    elseif not refused then
      refused = true
      io.write(string.format("REFUSED %d %s\n", status, body:sub(1, 300)))
      wrk.thread:stop()
    end
  end
end

function init(args)
  wrk.headers["Content-Type"] = FORM
  if args[1] == "refresh" then
    refresh(args[2])
  elseif args[1] == "grant" then
    wrk.method = "POST"
    wrk.headers["Authorization"] = "Basic " .. args[2]
    wrk.body = "grant_type=client_credentials"
  end
end

-- One line for the harness to read; wrk's own summary rounds its numbers.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'SUMMARY {"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,' ..
    '"refused":%d,"failed":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    e.status, e.connect + e.read + e.write + e.timeout))
end
