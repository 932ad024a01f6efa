//! A sensor alone at a pipeline, whose frames come at once or so seldom that its worker sees them through.

use super::common::PRIOR;
use relucent::frame::{Geometry, RangeImage};
use relucent::pipeline::{
    Event, Exposure, Options, Outlet, Payload, Pipeline, Place, Summary, VirtualStream,
};
use relucent::recover::Settings;
use relucent::sim::{self, Split};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

/// What came of the frames of a sensor of this name in a still scene, each with whether its worker's own thread told of it; where
/// they come `seldom`, one is offered long after what came of the one before.
pub(crate) fn offered(name: &str, frames: u64, seldom: bool) -> (Vec<(Event, bool)>, Summary) {
    let mut truth = RangeImage::default();
    sim::frame(Split::HeldOut, 0, &sim::rays(64, 64), &mut truth);
    let (geometry, exposure) = (Geometry::centred(60.0, 45.0), Exposure::default());
    let stream = VirtualStream::new(name, geometry, &PRIOR, 30.0, exposure, &truth);
    let mut stream = stream.unwrap();
    let (come, came) = mpsc::channel();
    let note = move |event: &Event| {
        if !matches!(event, Event::Described(_)) {
            let by_worker = thread::current().name() == Some("recover 0");
            come.send((event.clone(), by_worker)).unwrap();
        }
    };
    let outlet = Outlet {
        place: Place::Pipeline,
        ..Outlet::waiting("note", note)
    };
    let (settings, options) = (Settings::default(), Options::default());
    let pipeline = Pipeline::start(&*PRIOR, &settings, options, vec![outlet]).unwrap();
    let ingress = pipeline.ingress();
    let sensor = Arc::clone(stream.sensor());
    ingress.offer_now(Payload::Sensor(Box::new((*sensor).clone())));
    let mut events = vec![];
    for index in 0..frames {
        let began = Instant::now();
        let measurement = Box::new(stream.measure(&truth, index * 33_333_333).unwrap());
        ingress.offer_now(Payload::Measurement(Arc::clone(&sensor.id), measurement));
        if seldom {
            events.push(came.recv().unwrap());
            thread::sleep(4 * began.elapsed());
        }
    }
    let summary = pipeline.finish();
    events.extend(came.try_iter());
    (events, summary)
}
