-- The load generator's side of a round.
--
-- Without arguments wrk repeats the one request given on its command line. Otherwise:
--
--   once FILE FIRST LAST FIELD     each request carries the next token of FILE, one token a line,
--                                  from line FIRST to line LAST (1-based), after the beginning
--                                  FIELD of a header. At the end of the list the thread stops: a
--                                  token that was sent before would be found in a cache and would
--                                  measure something else.
--   in-turn FILE FIRST LAST FIELD  the same, but after the last token comes the first one again.
--   paced RATE                     the one request, RATE times a second whatever the answers take,
--                                  as long as there are connections free.

local threads = {}

-- Global, because done() runs in another Lua state and asks for them by name.
issued = 0
list_us = 0 -- how long a list of single use has lasted

function setup(thread)
  table.insert(threads, thread)
end

local function requests_of(path, first, last, field)
  local name, before = field:match("^(.-): (.*)$")
  local list, line = {}, 0
  for token in io.lines(path) do
    line = line + 1
    if line > last then break end
    if line >= first then
      wrk.headers[name] = before .. token
      list[#list + 1] = wrk.format()
    end
  end
  return list
end

-- Milliseconds, from a clock that never jumps; Lua itself has none that is fine enough.
local function steady_clock()
  local ffi = require("ffi")
  ffi.cdef("typedef struct { long s, ns; } moment; int clock_gettime(int, moment *);")
  local now, CLOCK_MONOTONIC = ffi.new("moment"), 1
  return function()
    ffi.C.clock_gettime(CLOCK_MONOTONIC, now)
    return tonumber(now.s) * 1e3 + tonumber(now.ns) / 1e6
  end
end

local function once(list)
  -- Every connection may ask once more after stop() was called; these are for them.
  local spare = 64
  local clock = steady_clock()
  local begun
  return function()
    begun = begun or clock()
    issued = issued + 1
    if issued == #list - spare then
      list_us = (clock() - begun) * 1000
      io.write("END OF LIST\n")
      io.flush()
    end
    if issued >= #list - spare then wrk.thread:stop() end
    return list[issued]
  end
end

local function in_turn(list)
  return function()
    issued = issued % #list + 1
    return list[issued]
  end
end

-- How long the connection that asks is to wait, in whole milliseconds: each gets the next turn of
-- a timetable that does not wait for answers.
local function paced(rate)
  local clock = steady_clock()
  local turn = clock()
  return function()
    turn = turn + 1000 / rate
    return math.max(0, math.floor(turn - clock()))
  end
end

function init(args)
  local how = args[1]
  if how == "once" then
    request = once(requests_of(args[2], tonumber(args[3]), tonumber(args[4]), args[5]))
  elseif how == "in-turn" then
    request = in_turn(requests_of(args[2], tonumber(args[3]), tonumber(args[4]), args[5]))
  elseif how == "paced" then
    delay = paced(tonumber(args[2]))
  end
end

-- One line for the harness to read; wrk's own summary rounds its numbers.
function done(summary, latency, requests)
  local total, lasted_us = 0, 0
  for _, thread in ipairs(threads) do
    total = total + thread:get("issued")
    lasted_us = math.max(lasted_us, thread:get("list_us"))
  end
  local e = summary.errors
  io.write(string.format(
    'SUMMARY {"requests":%d,"duration_us":%d,"issued":%d,"list_us":%d,"p50_us":%d,' ..
    '"p99_us":%d,"max_us":%d,"refused":%d,"failed":%d}\n',
    summary.requests, summary.duration, total, lasted_us, latency:percentile(50),
    latency:percentile(99), latency.max,
    e.status, e.connect + e.read + e.write + e.timeout))
end
