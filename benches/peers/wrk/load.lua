-- The load generator's side of a round.
--
-- Without arguments wrk repeats the one request given on its command line.
-- With arguments (FILE FIRST LAST) each request carries the next token of FILE, one token a
-- line, from line FIRST to line LAST (1-based). At the end of the list the thread stops: a
-- token that was sent before would be found in a cache and would measure something else.

local threads = {}

issued = 0 -- global, because done() runs in another Lua state and asks for it by name

function setup(thread)
  table.insert(threads, thread)
end

local function requests_of(path, first, last)
  local list, line = {}, 0
  for token in io.lines(path) do
    line = line + 1
    if line > last then break end
    if line >= first then
      wrk.headers["Authorization"] = "Bearer " .. token
      list[#list + 1] = wrk.format()
    end
  end
  return list
end

function init(args)
  if args[1] == nil then return end
  local list = requests_of(args[1], tonumber(args[2]), tonumber(args[3]))
  -- Every connection may ask once more after stop() was called; these are for them.
  local spare = 64
  request = function()
    issued = issued + 1
    if issued >= #list - spare then wrk.thread:stop() end
    return list[issued]
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
